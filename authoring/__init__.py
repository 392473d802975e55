"""What authors run: lessons/ in, notebooks/ and solutions/ out."""

"""The classroom's live board: lesson 27's server, with a page."""

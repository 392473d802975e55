"""Aula: a bilingual course on asyncio and WebSockets, and its instruments.

Notebooks import one of the two doors, ``aula.es`` or ``aula.en``.
"""

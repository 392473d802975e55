"""The checks, one module for each lesson: ``lesson_04`` judges 04.1 to 04.5.

A judge calls the learner's answer against a real server, a real client or
real tasks, and returns ``Right`` or raises ``Wrong``.
"""

"""The plan of a study: tasks, their keys, parts of points, and questions answered by bisection.

Nothing here executes a task.
"""

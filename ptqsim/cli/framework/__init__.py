"""The frame of all commands: dispatch, options, output, errors, help pages and the places of files.

Nothing here knows a particular command.
"""

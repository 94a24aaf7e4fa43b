"""What users of a simulator ask that the papers do not show."""

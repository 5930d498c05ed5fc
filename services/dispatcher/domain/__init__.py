"""The rules of contacting respondents, without I/O. Times are business times, UTC."""

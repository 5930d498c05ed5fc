"""What happens to an invitation, and when: rules only, no I/O. Times are business times, UTC."""

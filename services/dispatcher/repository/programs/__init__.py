"""Programs as published, and the steps that wait because theirs is stopped."""

"""What becomes of mails, as Postmark, SES and plain mail servers report it."""

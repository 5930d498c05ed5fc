"""Delivery feedback for mails: webhooks of Postmark and SES, and bounces of mail servers."""

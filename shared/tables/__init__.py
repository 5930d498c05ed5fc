"""Tabular files: reads CSV and JSON Lines files as other programs write them, and writes CSV for spreadsheets."""

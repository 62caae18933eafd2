"""Training loops as plain functions: torch in, numbers out through an injected `report`. No Ray here."""

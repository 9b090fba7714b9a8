"""The pure core of a station: tables, values and rules, without clock, device or log."""

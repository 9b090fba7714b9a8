"""The PLC contract, station side: from reads of the PLC's tags to triggers, as tables.

    state              what is known of the PLC, and what a read can bring as news
    session            what both profiles have in common: clock, Enable, sessions
    sequence_profile   parts in a ring of numbered slots (the default)
    four_phase         parts and answers by acknowledged edges, with `triggers` and `results` as tables of their own
    phases             how far those two have come

Rules and their numbers: docs/plc-contract.md.
"""

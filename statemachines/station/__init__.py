"""The whole station as one pure value: handshake, parts in flight, line, health. THE place where the tables meet.

`step.step(station, event) -> (station, commands)` is what the runtime calls for everything that happens, and what the
exhaustive search in the tests explores; `step.EFFECTS` says in which room an event is taken:

    state          the value itself, and what follows from it (`ready`, `mode`, `health`)
    tags           what the PLC sees of it
    session        link, reads of the PLC's tags, sessions
    intake         a part comes in, or why not
    parts          each event to its part; what is counted and kept
    results        four-phase profile: one result after the other
    job_requests   parts that others than the PLC ask for
    recipes        change of product
    modes          mode, the PLC's ceiling, hold
    failsafe       into it and out of it
    reports        what duties and people tell
"""

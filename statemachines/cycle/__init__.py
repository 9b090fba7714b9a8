"""The life of one part, from trigger to answer, as a table.

`table.step(cycle, event, context) -> (cycle, commands)` is pure. `state` is the part as a value. The effects are in two
rooms: `views` leads from the trigger to what can be decided, `answer` from there to the part's end.
"""

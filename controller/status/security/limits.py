"""Bounds on what one client can make the status process hold or do."""

from __future__ import annotations

CONNECTIONS_BEYOND_SESSIONS = 14
"""Connections beyond the sessions: clients that come, look for endpoints and go."""
HALF_OPEN = 16
"""Connections without a session that is logged in; the oldest gives way to a new one."""
HALF_OPEN_S = 10.0
"""How long a connection may take to get there, and to send one message to its end."""
KEPT_FOR_PEOPLE = 5
"""Sessions that anonymous clients cannot take."""
SESSION_S = 120.0
"""What a client that says nothing holds here is freed after so long."""
UNREAD = 256 * 1024
"""Bytes that wait for a client before nothing more is read from it."""
MOST_UNREAD = 2 * 1024 * 1024
"""Bytes that wait for a client before it is cut off."""
UNREAD_S = 10.0
"""How long a client may leave them lying."""
LARGEST_CHUNK = 65_535
SMALLEST_BUFFER = 8192
"""Bytes of a client's smallest buffer (OPC 10000-6 7.1.2.3); tiny ones would make each answer a thousand chunks."""
LARGEST_MESSAGE = 1 << 20
MOST_CHUNKS = 32
PENDING = 64
"""Messages of one connection that wait for their turn."""
QUEUED = 50
"""Changes of one node that wait for one subscription, and notifications that wait for its acknowledgement. The library
keeps 10,000 and 5,000: behind a client that was frozen and subscribed to everything they grew by 0.3 MB a second."""
ITEMS = 20_000
"""Monitored items of all clients together, some 2 kB each; half of them for clients without a name."""
EVENT_ITEMS, EVENT_ITEMS_PER_SESSION = 200, 20
"""Items that want events: each looks at each event, and copies up to SELECT_CLAUSES fields of it."""
UNACKNOWLEDGED = 5_000
"""Changes in the messages of one subscription that are kept until they are acknowledged."""
FASTEST_MS, SLOWEST_MS = 5.0, 60_000.0
"""Publishing intervals; the library believes 0, NaN and microseconds."""
HASHING = 1
"""Passwords that are hashed at once, and those that wait for it."""
HASHES_WAITING = 16
LONGEST_LIFETIME = 3000
"""Publishing intervals without a request after which a subscription ends."""

NODES_PER_READ = 1000
NODES_PER_WRITE = 100
NODES_PER_BROWSE = 100
NODES_PER_TRANSLATE = 500
NODES_PER_HISTORY = 20
METHODS_PER_CALL = 20
ITEMS_PER_CALL = 1000
FILTER_ELEMENTS = 20
FILTER_STEPS = 500
"""Evaluations that one event may take in one where-clause."""
SELECT_CLAUSES = 200

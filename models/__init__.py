"""From frame to graded findings: packages, runner, decoders, catalogue."""

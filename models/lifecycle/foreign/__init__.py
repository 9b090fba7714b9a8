"""Models that others trained: recognised, brought to the form that the station's decoders read, packaged."""

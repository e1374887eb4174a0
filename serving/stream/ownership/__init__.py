"""Who owns which partition: fixed by hand, or shared by leases in the state store. Advice: the epoch of a position decides."""

//! Chooses the nodes of a call, and says why.

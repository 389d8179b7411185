//! The cascade between nodes.

//! A wide-area network in userland.

//! Payload knowledge and media decisions: key frames, layers, rewriting, allocation, speakers, quality.

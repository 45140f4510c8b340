//! The one exit for text that reaches a terminal.

//! Conversations x backend -> answers.

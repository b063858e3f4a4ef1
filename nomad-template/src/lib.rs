//! Template rendering: engines, runner and the in-memory BufferedConn.

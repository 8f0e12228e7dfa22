//! Arrow Flight SQL: the endpoint that clients speak with, and the client of our own.

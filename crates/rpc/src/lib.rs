//! JSON-RPC: request and response types, server and typed client.

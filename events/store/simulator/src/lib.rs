//! EventStoreDB's protocol over loopback, with faults on demand; for tests.

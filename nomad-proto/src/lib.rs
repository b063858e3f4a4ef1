//! The only home of generated protobuf and gRPC code, and its conversions.

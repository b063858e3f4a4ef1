//! HCL2 job files to jobs, with errors that point at the place.

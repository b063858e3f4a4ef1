//! How a task is run on this machine: the driver contract, raw_exec and mock_driver.

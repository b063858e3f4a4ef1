//! What a job file may ask of the world, given by the caller: environment, files, fresh ids, costly hashes.

use std::fmt;

/// Why the host does not give what a function asks for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct HostError(pub String);

impl HostError {
    /// An error with this text.
    pub fn new(text: impl fmt::Display) -> Self {
        Self(text.to_string())
    }
}

/// The world as a job file may see it. Every method has a default that gives nothing, which is what a server wants.
pub trait Host {
    /// The environment variables whose names begin with `NOMAD_VAR_`, without that prefix.
    fn variables(&self) -> Vec<(String, String)> {
        Vec::new()
    }

    /// The files, or `None` where a job file may not look at any.
    fn files(&self) -> Option<&dyn Files> {
        None
    }

    /// A fresh random UUID, for `uuidv4()`.
    ///
    /// # Errors
    /// There is no randomness here.
    fn uuid(&self) -> Result<String, HostError> {
        Err(HostError::new("random ids are not available here"))
    }

    /// The bcrypt hash of a password, for `bcrypt()`.
    ///
    /// # Errors
    /// Hashing is not offered, or the cost is out of range.
    fn bcrypt(&self, _password: &[u8], _cost: u32) -> Result<String, HostError> {
        Err(HostError::new("bcrypt is not available here"))
    }

    /// Decrypts RSA PKCS #1 v1.5 with a PEM key, for `rsadecrypt()`.
    ///
    /// # Errors
    /// Decryption is not offered, or the key does not fit.
    fn rsa_decrypt(
        &self,
        _ciphertext: &[u8],
        _private_key_pem: &str,
    ) -> Result<Vec<u8>, HostError> {
        Err(HostError::new("rsadecrypt is not available here"))
    }
}

/// The files that a job file may look at. Relative paths count from where the caller wants.
pub trait Files {
    /// The path made absolute.
    ///
    /// # Errors
    /// There is no working directory.
    fn absolute(&self, path: &str) -> Result<String, HostError>;

    /// The content of a file, of at most `limit` bytes.
    ///
    /// # Errors
    /// The file cannot be read, or is larger.
    fn read(&self, path: &str, limit: usize) -> Result<Vec<u8>, HostError>;

    /// The content of a file below `directory`, of at most `limit` bytes. `path` is relative and does not lead upwards;
    /// a host that can see links should refuse those that lead out of the directory.
    ///
    /// # Errors
    /// The file cannot be read, is larger, or lies elsewhere.
    fn read_below(&self, directory: &str, path: &str, limit: usize) -> Result<Vec<u8>, HostError> {
        let separator = if directory.is_empty() || directory.ends_with('/') {
            ""
        } else {
            "/"
        };
        self.read(&format!("{directory}{separator}{path}"), limit)
    }

    /// Whether there is a regular file.
    ///
    /// # Errors
    /// Something else is there, or it cannot be told.
    fn exists(&self, path: &str) -> Result<bool, HostError>;

    /// The files below `path` that match a glob pattern, as slash-separated paths relative to `path`.
    ///
    /// # Errors
    /// The pattern is bad, or the directory cannot be read.
    fn glob(&self, path: &str, pattern: &str) -> Result<Vec<String>, HostError>;

    /// The path with a leading `~` replaced by the home directory.
    ///
    /// # Errors
    /// There is no home directory.
    fn expand_home(&self, path: &str) -> Result<String, HostError>;
}

/// A host that gives nothing: for a server, and for tests.
#[derive(Debug, Clone, Copy, Default)]
pub struct Isolated;

impl Host for Isolated {}

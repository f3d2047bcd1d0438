//! Why a device can't be opened.

/// Why a vfio-user device could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// Nobody listens at the socket.
    #[error(
        "can't connect to {path}; is a server running there (`hwpool sim serve`), and may this user reach it?"
    )]
    Connect {
        /// The socket's path.
        path: String,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The server refused a request or broke the protocol.
    #[error("{0}")]
    Server(String),
    /// The server speaks another version.
    #[error("the server speaks version {major}.{minor} of vfio-user, this client 0.1")]
    Version {
        /// The server's.
        major: u16,
        /// The server's.
        minor: u16,
    },
    /// What is behind the socket is no PCI function.
    #[error("the device behind the socket is no PCI function")]
    NotPci,
    /// An option of the address.
    #[error(
        "option `{key}` can't be `{value}`: known are timeout-ms, 1 to 3600000, and dma, files or messages"
    )]
    Option {
        /// The key.
        key: String,
        /// The value.
        value: String,
    },
}

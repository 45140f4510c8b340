//! Which cryptography TLS uses in this process. The HTTP client is built without one, so whoever makes a client asks for
//! it here first.

use std::sync::Once;

/// Makes ring the provider of TLS. More calls do no harm, and where another part of the process has installed one
/// already, that one stands.
pub fn install_provider() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
}

//! Where addresses are, by a database of the operator's (MaxMind DB format).

use std::net::IpAddr;
use std::path::Path;

use maxminddb::{MaxMindDbError, Reader, geoip2};

/// Error of a city's coordinates when the database does not say, kilometres: the median for mobile networks.
const USUAL_ACCURACY_KM: f64 = 200.0;

/// A database in memory; without one, nothing is known of any address.
#[derive(Default)]
pub(crate) struct GeoIp(Option<Reader<Vec<u8>>>);

/// Where an address probably is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Found {
    /// Degrees north and east.
    pub(crate) place: (f64, f64),
    pub(crate) accuracy_km: f64,
}

impl GeoIp {
    /// Reads the whole file: look-ups then never wait for a disk.
    ///
    /// # Errors
    /// The file cannot be read or is no such database.
    pub(crate) fn open(path: &Path) -> Result<Self, MaxMindDbError> {
        Reader::open_readfile(path).map(|reader| Self(Some(reader)))
    }

    /// Where `address` is, if the database knows.
    pub(crate) fn locate(&self, address: IpAddr) -> Option<Found> {
        let found = self.0.as_ref()?.lookup(address).ok()?;
        let city: geoip2::City<'_> = found.decode().ok()??;
        let location = city.location;
        let place = (location.latitude?, location.longitude?);
        let accuracy_km = location
            .accuracy_radius
            .map_or(USUAL_ACCURACY_KM, f64::from);
        let is_place = place.0.abs() <= 90.0 && place.1.abs() <= 180.0;
        is_place.then_some(Found { place, accuracy_km })
    }
}

#[cfg(test)]
#[path = "geo_tests.rs"]
mod tests;

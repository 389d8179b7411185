use std::collections::BTreeMap;
use std::io::Write;

use super::*;

/// Rows of a database for tests: an IPv4 network and its content.
type Rows<'a> = &'a [([u8; 4], u8, Vec<u8>)];

// The data types of the MaxMind DB format, version 2.0, as far as they are used here.
fn control(kind: u8, size: usize) -> Vec<u8> {
    let size = u8::try_from(size).unwrap();
    assert!(size < 29, "longer values are written in another way");
    if kind > 7 {
        vec![size, kind - 7]
    } else {
        vec![kind << 5 | size]
    }
}

fn text(text: &str) -> Vec<u8> {
    [control(2, text.len()), text.as_bytes().to_vec()].concat()
}

fn double(value: f64) -> Vec<u8> {
    [control(3, 8), value.to_be_bytes().to_vec()].concat()
}

fn number(kind: u8, value: u64, bytes: usize) -> Vec<u8> {
    [
        control(kind, bytes),
        value.to_be_bytes()[8 - bytes..].to_vec(),
    ]
    .concat()
}

fn map(fields: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let fields = fields
        .iter()
        .map(|(name, value)| [text(name), value.clone()].concat());
    [vec![control(7, fields.len())], fields.collect()]
        .concat()
        .concat()
}

fn city(latitude: f64, longitude: f64, radius: Option<u64>) -> Vec<u8> {
    let mut location = vec![
        ("latitude", double(latitude)),
        ("longitude", double(longitude)),
    ];
    location.extend(radius.map(|radius| ("accuracy_radius", number(5, radius, 2))));
    map(&[("location", map(&location))])
}

/// Writes a database: a binary tree of address bits with records of 32 bits, then the data, then the metadata.
fn database(rows: Rows<'_>) -> Vec<u8> {
    const EMPTY: u32 = u32::MAX;
    let mut nodes: Vec<[u32; 2]> = vec![[EMPTY; 2]];
    let mut data: Vec<u8> = Vec::new();
    let mut leaves: BTreeMap<(usize, usize), u32> = BTreeMap::new();
    for (network, length, content) in rows {
        let address = u32::from_be_bytes(*network);
        let mut node = 0;
        for bit in 0..usize::from(*length) {
            let side = (address >> (31 - bit) & 1) as usize;
            if bit + 1 == usize::from(*length) {
                leaves.insert((node, side), u32::try_from(data.len()).unwrap());
            } else {
                if nodes[node][side] == EMPTY {
                    nodes[node][side] = u32::try_from(nodes.len()).unwrap();
                    nodes.push([EMPTY; 2]);
                }
                node = nodes[node][side] as usize;
            }
        }
        data.extend(content);
    }
    let count = u32::try_from(nodes.len()).unwrap();
    let mut file = Vec::new();
    for (index, sides) in nodes.iter().enumerate() {
        for (side, next) in sides.iter().enumerate() {
            let record = match leaves.get(&(index, side)) {
                Some(offset) => count + 16 + offset,
                None => (*next).min(count),
            };
            file.extend(record.to_be_bytes());
        }
    }
    file.extend([0; 16]);
    file.extend(data);
    file.extend(b"\xab\xcd\xefMaxMind.com");
    file.extend(map(&[
        ("binary_format_major_version", number(5, 2, 2)),
        ("binary_format_minor_version", number(5, 0, 2)),
        ("build_epoch", number(9, 1_700_000_000, 8)),
        ("database_type", text("Test-City")),
        ("description", map(&[("en", text("for tests"))])),
        ("ip_version", number(5, 4, 2)),
        ("languages", [control(11, 1), text("en")].concat()),
        ("node_count", number(6, u64::from(count), 4)),
        ("record_size", number(5, 32, 2)),
    ]));
    file
}

fn opened(rows: Rows<'_>) -> GeoIp {
    let folder = std::env::temp_dir().join(format!("tradewind-geo-{}", crate::random::text(8)));
    std::fs::create_dir(&folder).unwrap();
    let path = folder.join("city.mmdb");
    std::fs::File::create(&path)
        .unwrap()
        .write_all(&database(rows))
        .unwrap();
    let geo = GeoIp::open(&path).unwrap();
    std::fs::remove_dir_all(folder).unwrap();
    geo
}

#[test]
fn an_address_is_where_the_database_says() {
    let geo = opened(&[
        ([203, 0, 113, 0], 24, city(35.7, 139.7, Some(20))),
        ([198, 51, 100, 0], 24, city(-33.9, 151.2, None)),
        ([192, 0, 2, 0], 24, city(123.0, 500.0, None)),
        (
            [192, 88, 99, 0],
            24,
            map(&[("country", map(&[("iso_code", text("FR"))]))]),
        ),
    ]);
    let find = |address: &str| geo.locate(address.parse().unwrap());
    let tokyo = Found {
        place: (35.7, 139.7),
        accuracy_km: 20.0,
    };
    assert_eq!(find("203.0.113.77"), Some(tokyo));
    let sydney = find("198.51.100.1").unwrap();
    assert_eq!(
        (sydney.place, sydney.accuracy_km),
        ((-33.9, 151.2), USUAL_ACCURACY_KM)
    );
    assert_eq!(find("203.0.114.1"), None, "not in the database");
    assert_eq!(find("192.0.2.1"), None, "no place on Earth");
    assert_eq!(find("192.88.99.1"), None, "a country is no place");
    assert_eq!(find("2001:db8::1"), None, "not in an IPv4 database");
}

#[test]
fn without_a_database_nothing_is_known() {
    assert_eq!(
        GeoIp::default().locate("203.0.113.77".parse().unwrap()),
        None
    );
}

#[test]
fn what_is_no_database_is_refused() {
    let path = std::env::temp_dir().join(format!("tradewind-geo-{}", crate::random::text(8)));
    std::fs::write(&path, b"city,lat,lon\n").unwrap();
    assert!(GeoIp::open(&path).is_err());
    std::fs::remove_file(&path).unwrap();
    assert!(GeoIp::open(&path).is_err());
}

//! Vectors of RFC 7714, and what must hold for every profile.

use proptest::prelude::*;

use crate::cipher::Cipher;
use crate::*;

// RFC 7714 sections 16 and 17: session keys 00 01 02 .., salt "Quid pro quo".
const PLAIN_RTP: &str = concat!(
    "8040f17b8041f8d35501a0b247616c6c696120657374206f6d6e69732064697669736120696e207061727465",
    "732074726573",
);

const SEALED_RTP_128: &str = concat!(
    "8040f17b8041f8d35501a0b2f24de3a3fb34de6cacba861c9d7e4bcabe633bd50d294e6f42a5f47a51c7d19b",
    "36de3adf8833899d7f27beb16a9152cf765ee4390cce",
);

const PLAIN_RTCP: &str = concat!(
    "81c8000d4d6172734e5450314e545032525450200000042a0000e9304c756e61deadbeefdeadbeefdeadbeef",
    "deadbeefdeadbeef",
);

const SEALED_RTCP_128: &str = concat!(
    "81c8000d4d61727363e94885dcdab67ca727d7662f6b7e997ff5c0f76c06f32dc676a5f1730d6fda4ce09b46",
    "86303ded0bb9275bc84aa45896cf4d2fc5abf87245d9eade800005d4",
);

const SEALED_RTP_256: &str = concat!(
    "8040f17b8041f8d35501a0b232b1de78a822fe12ef9f78fa332e33aab18012389a58e2f3b50b2a0276ffae0f",
    "1ba63799b87b7aa3db36dfffd6b0f9bb7878d7a76c13",
);

const SEALED_RTCP_256: &str = concat!(
    "81c8000d4d617273d50ae4d1f5ce5d304ba297e47d470c282c3ece5dbffe0a50a2eaa5c1110555be8415f658",
    "c61de0476f1b6fad1d1eb30c4446839f57ff6f6cb26ac3be800005d4",
);

const PROFILES: [Profile; 3] = [
    Profile::Aes128CmHmacSha1_80,
    Profile::AeadAes128Gcm,
    Profile::AeadAes256Gcm,
];

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len() / 2)
        .map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap())
        .collect()
}

fn rfc_7714_cipher(profile: Profile) -> impl Fn() -> Cipher {
    move || {
        let key: Vec<u8> = (0..profile.key_len() as u8).collect();
        let mut salt = [0; 14];
        salt[..12].copy_from_slice(b"Quid pro quo");
        Cipher::new(profile, &key, salt, &[]).unwrap()
    }
}

fn master(profile: Profile, seed: u8) -> MasterKey {
    let key: Vec<u8> = (0..profile.key_len() as u8).map(|at| at ^ seed).collect();
    MasterKey::new(profile, &key, &vec![seed; profile.salt_len()]).unwrap()
}

fn pair(profile: Profile) -> (Sealer, Opener) {
    let master = master(profile, 7);
    (
        Sealer::new(profile, &master).unwrap(),
        Opener::new(profile, &master).unwrap(),
    )
}

fn rtp(ssrc: u32, sequence: u16, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x80, 96];
    packet.extend_from_slice(&sequence.to_be_bytes());
    packet.extend_from_slice(&[0, 0, 0, 9]);
    packet.extend_from_slice(&ssrc.to_be_bytes());
    packet.extend_from_slice(payload);
    packet
}

fn receiver_report(ssrc: u32) -> Vec<u8> {
    let mut packet = vec![0x80, 201, 0, 1];
    packet.extend_from_slice(&ssrc.to_be_bytes());
    packet
}

#[test]
fn rtp_is_sealed_and_opened_as_in_rfc_7714_section_16() {
    for (profile, sealed) in [
        (Profile::AeadAes128Gcm, SEALED_RTP_128),
        (Profile::AeadAes256Gcm, SEALED_RTP_256),
    ] {
        let sealer = Sealer::from_session_keys(rfc_7714_cipher(profile), 0);
        let mut packet = bytes(PLAIN_RTP);
        sealer.seal_rtp(&mut packet, 0, 0xf17b).unwrap();
        assert_eq!(packet, bytes(sealed), "{profile:?}");
        let mut opener = Opener::from_session_keys(rfc_7714_cipher(profile));
        let opened = opener.open_rtp(&mut packet).unwrap();
        assert_eq!(packet[..opened.len], bytes(PLAIN_RTP));
        assert_eq!((opened.index, opened.header_len), (0xf17b, 12));
    }
}

#[test]
fn rtcp_is_sealed_and_opened_as_in_rfc_7714_section_17() {
    for (profile, sealed) in [
        (Profile::AeadAes128Gcm, SEALED_RTCP_128),
        (Profile::AeadAes256Gcm, SEALED_RTCP_256),
    ] {
        let mut sealer = Sealer::from_session_keys(rfc_7714_cipher(profile), 0x5d4);
        let mut packet = bytes(PLAIN_RTCP);
        sealer.seal_rtcp(&mut packet, 0).unwrap();
        assert_eq!(packet, bytes(sealed), "{profile:?}");
        let mut opener = Opener::from_session_keys(rfc_7714_cipher(profile));
        assert_eq!(opener.open_rtcp(&mut packet).unwrap(), bytes(PLAIN_RTCP));
    }
}

#[test]
fn packets_stand_one_after_the_other_in_one_buffer() {
    for profile in PROFILES {
        let (mut sealer, mut opener) = pair(profile);
        let mut buffer = b"before".to_vec();
        buffer.extend(rtp(5, 1, b"media"));
        sealer.seal_rtp(&mut buffer, 6, 1).unwrap();
        let second = buffer.len();
        buffer.extend(receiver_report(5));
        sealer.seal_rtcp(&mut buffer, second).unwrap();
        assert_eq!(&buffer[..6], b"before");
        let opened = opener.open_rtp(&mut buffer[6..second]).unwrap();
        assert_eq!(buffer[6..6 + opened.len], rtp(5, 1, b"media"));
        assert_eq!(
            opener.open_rtcp(&mut buffer[second..]).unwrap(),
            receiver_report(5)
        );
    }
}

#[test]
fn a_replay_is_refused_and_the_sequence_number_may_wrap() {
    for profile in PROFILES {
        let (mut sealer, mut opener) = pair(profile);
        for index in [65_534u64, 65_536, 65_535, 65_537] {
            let mut packet = rtp(5, index as u16, b"media");
            sealer.seal_rtp(&mut packet, 0, index).unwrap();
            assert_eq!(opener.open_rtp(&mut packet.clone()).unwrap().index, index);
            assert_eq!(opener.open_rtp(&mut packet), Err(OpenError::Replayed));
        }
        let mut report = receiver_report(5);
        sealer.seal_rtcp(&mut report, 0).unwrap();
        assert!(opener.open_rtcp(&mut report.clone()).is_ok());
        assert_eq!(opener.open_rtcp(&mut report), Err(OpenError::Replayed));
    }
}

#[test]
fn material_of_a_wrong_length_is_refused() {
    for profile in PROFILES {
        assert!(KeyingMaterial::from_exporter(profile, &[0; 55], true).is_err());
        assert!(MasterKey::new(profile, &[0; 33], &[0; 12]).is_err());
    }
}

proptest! {
    #[test]
    fn a_changed_packet_is_not_authentic(
        which in 0usize..3, payload in prop::collection::vec(any::<u8>(), 0..64), at in any::<prop::sample::Index>(), bit in 0u8..8,
    ) {
        let (sealer, mut opener) = pair(PROFILES[which]);
        let mut packet = rtp(5, 77, &payload);
        sealer.seal_rtp(&mut packet, 0, 77).unwrap();
        let at = at.index(packet.len());
        packet[at] ^= 1 << bit;
        prop_assert!(opener.open_rtp(&mut packet).is_err());
    }

    #[test]
    fn any_bytes_are_refused_without_panic(which in 0usize..3, mut packet in prop::collection::vec(any::<u8>(), 0..80)) {
        let (mut sealer, mut opener) = pair(PROFILES[which]);
        prop_assert!(opener.open_rtp(&mut packet.clone()).is_err());
        prop_assert!(opener.open_rtcp(&mut packet).is_err());
        let _ = sealer.seal_rtp(&mut packet.clone(), 3, 1);
        let _ = sealer.seal_rtcp(&mut packet, 3);
    }
}

use proptest::prelude::*;

use super::*;

const CODECS: [Codec; 8] = [
    Codec::Opus,
    Codec::Red,
    Codec::Vp8,
    Codec::Vp9,
    Codec::H264,
    Codec::H265,
    Codec::Av1,
    Codec::Other,
];

fn keyframe(codec: Codec, payload: &[u8]) -> bool {
    inspect(codec, payload).keyframe
}

#[test]
fn audio_can_start_anywhere() {
    assert!(keyframe(Codec::Opus, &[0x78, 1, 2]));
    assert!(keyframe(Codec::Red, &[]));
}

#[test]
fn a_vp8_key_frame_is_seen_in_its_first_packet_only() {
    assert!(keyframe(Codec::Vp8, &[0x10, 0x00, 1]));
    assert!(!keyframe(Codec::Vp8, &[0x10, 0x01, 1]), "inter frame");
    assert!(!keyframe(Codec::Vp8, &[0x00, 0x00, 1]), "continuation");
    assert!(!keyframe(Codec::Vp8, &[0x11, 0x00, 1]), "second partition");
}

#[test]
fn a_full_vp8_descriptor_gives_all_its_fields() {
    // X N S, I L T K, 15-bit picture id 0x1234, TL0PICIDX 77, TID 2 Y 1 KEYIDX 9, inter frame.
    let info = inspect(Codec::Vp8, &[0xb0, 0xf0, 0x92, 0x34, 77, 0b1010_1001, 0x01]);
    let ids = info.vp8.unwrap();
    assert_eq!(ids.picture_id, Some((0x1234, true)));
    assert_eq!(
        (ids.tl0_pic_idx, ids.temporal, ids.key_idx),
        (Some(77), Some(2), Some(9))
    );
    assert!(ids.sync && ids.non_reference && info.frame_start && !info.keyframe);
}

#[test]
fn a_vp8_descriptor_with_a_short_picture_id_and_a_key_index_alone_has_no_temporal_layer() {
    let ids = inspect(Codec::Vp8, &[0x90, 0x90, 0x05, 0x09, 0x00])
        .vp8
        .unwrap();
    assert_eq!(
        (ids.picture_id, ids.temporal, ids.key_idx),
        (Some((5, false)), None, Some(9))
    );
}

#[test]
fn a_vp9_key_picture_starts_at_spatial_layer_0() {
    // I L B V, 7-bit id, TID 0 SID 0, TL0PICIDX, structure with three spatial layers.
    let info = inspect(Codec::Vp9, &[0xaa, 0x05, 0x00, 0x07, 0x40]);
    assert!(info.keyframe);
    assert_eq!(info.vp9.unwrap().spatial_layers, Some(3));
    // The layer above in the same picture depends on the one below, so no decoder starts there.
    assert!(!keyframe(Codec::Vp9, &[0xa8, 0x05, 0x03, 0x07]));
    assert!(
        !keyframe(Codec::Vp9, &[0xe8, 0x05, 0x00, 0x07]),
        "inter picture"
    );
}

#[test]
fn vp9_layers_are_read_in_flexible_mode_too() {
    // I P L F B E, 15-bit id, TID 1 U SID 2 D, two reference distances.
    let ids = inspect(Codec::Vp9, &[0xfc, 0x81, 0x02, 0b0011_0101, 0x03, 0x04])
        .vp9
        .unwrap();
    assert_eq!(
        (ids.picture_id, ids.temporal, ids.spatial),
        (Some((0x102, true)), 1, 2)
    );
    assert!(ids.switching_up && ids.inter_layer && ids.inter_picture && ids.begin && ids.end);
}

#[test]
fn h264_starts_at_parameter_sets_and_at_the_first_slice_of_an_idr_picture() {
    assert!(keyframe(Codec::H264, &[0x67, 0x42]), "SPS");
    assert!(keyframe(Codec::H264, &[0x65, 0x88]), "IDR");
    assert!(
        !keyframe(Codec::H264, &[0x65, 0x08]),
        "second slice of an IDR picture"
    );
    assert!(!keyframe(Codec::H264, &[0x41, 0x9a]), "other slice");
    assert!(
        keyframe(Codec::H264, &[0x78, 0, 2, 0x09, 0xf0, 0, 2, 0x67, 0x42]),
        "STAP-A with delimiter and SPS"
    );
    assert!(
        !keyframe(Codec::H264, &[0x78, 0, 2, 0x41, 0x9a]),
        "STAP-A without"
    );
    assert!(keyframe(Codec::H264, &[0x7c, 0x85, 0x88]), "FU-A start");
    assert!(
        !keyframe(Codec::H264, &[0x7c, 0x05, 0x88]),
        "FU-A continuation"
    );
}

#[test]
fn h265_starts_at_parameter_sets_and_at_the_first_segment_of_a_random_access_picture() {
    assert!(keyframe(Codec::H265, &[0x40, 0x01, 0x0c]), "VPS");
    assert!(keyframe(Codec::H265, &[0x42, 0x01, 0x01]), "SPS");
    assert!(keyframe(Codec::H265, &[0x26, 0x01, 0x80]), "IDR");
    assert!(
        !keyframe(Codec::H265, &[0x26, 0x01, 0x00]),
        "second segment"
    );
    assert!(
        !keyframe(Codec::H265, &[0x02, 0x01, 0x80]),
        "trailing picture"
    );
    assert!(
        keyframe(Codec::H265, &[0x60, 0x01, 0, 3, 0x40, 0x01, 0x0c]),
        "aggregation with VPS"
    );
    assert!(
        keyframe(Codec::H265, &[0x62, 0x01, 0x93, 0x80]),
        "fragmentation start"
    );
    assert!(
        !keyframe(Codec::H265, &[0x62, 0x01, 0x13, 0x80]),
        "fragmentation continuation"
    );
}

#[test]
fn av1_starts_at_a_new_coded_video_sequence() {
    assert!(keyframe(Codec::Av1, &[0x18, 0x0a]));
    assert!(!keyframe(Codec::Av1, &[0x10, 0x0a]));
}

proptest! {
    #[test]
    fn inspection_never_panics_on_any_bytes(payload in proptest::collection::vec(any::<u8>(), 0..80)) {
        for codec in CODECS {
            inspect(codec, &payload);
        }
    }

    #[test]
    fn a_vp8_patch_is_read_back_whatever_it_was_made_for(
        mut payload in proptest::collection::vec(any::<u8>(), 0..16), id in any::<u16>(), tl0 in any::<u8>(), key in 0u8..32,
    ) {
        if let Some(ids) = inspect(Codec::Vp8, &payload).vp8 {
            let mut patch = ids.patch();
            patch.picture_id = ids.picture_id.map(|(_, long)| (id & if long { 0x7fff } else { 0x7f }, long));
            patch.tl0_pic_idx = ids.tl0_pic_idx.map(|_| tl0);
            patch.key_idx = ids.key_idx.map(|_| key);
            patch.apply(&mut payload);
            let patched = inspect(Codec::Vp8, &payload).vp8.unwrap();
            prop_assert_eq!(patched.picture_id, patch.picture_id);
            prop_assert_eq!(patched.tl0_pic_idx, patch.tl0_pic_idx);
            prop_assert_eq!(patched.key_idx, patch.key_idx);
            prop_assert_eq!(patched.temporal, ids.temporal);
        }
    }
}

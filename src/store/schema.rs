//! The tables as diesel knows them: the same for both databases, and compared with both by a test.
#![allow(unreachable_pub, reason = "what the macro writes is not ours to narrow")]

diesel::table! {
    partner (id) {
        id -> Text,
        code -> Text,
        kind -> Text,
        state -> Text,
        legal_name -> Text,
        country -> Text,
        contract_ref -> Text,
        contract_version -> Text,
        privacy_contact -> Text,
        recall_days -> Integer,
        requests_per_minute -> BigInt,
        applied_by -> Text,
        approved_by -> Nullable<Text>,
        tokens_not_before -> BigInt,
        created_at -> BigInt,
    }
}

diesel::table! {
    certificate (thumbprint) {
        thumbprint -> Binary,
        partner_id -> Text,
        source -> Text,
        status -> Text,
        serial -> Text,
        key_hash -> Binary,
        not_before -> BigInt,
        not_after -> BigInt,
        der -> Binary,
        bound_at -> BigInt,
        revoked_at -> Nullable<BigInt>,
        revoked_reason -> Nullable<Text>,
    }
}

diesel::table! {
    partner_grant (id) {
        id -> Text,
        partner_id -> Text,
        purpose -> Text,
        fields -> BigInt,
        territory -> Text,
        collection_points -> SmallInt,
        from_at -> BigInt,
        until_at -> Nullable<BigInt>,
    }
}

diesel::table! {
    policy (version) {
        version -> Integer,
        effective_at -> BigInt,
        published_at -> Nullable<BigInt>,
    }
}

diesel::table! {
    policy_purpose (version, purpose) {
        version -> Integer,
        purpose -> Text,
        fields -> BigInt,
        partner_kinds -> SmallInt,
    }
}

diesel::table! {
    policy_text (version, language) {
        version -> Integer,
        language -> Text,
        text -> Text,
        wording_hash -> Binary,
    }
}

diesel::table! {
    contact (no) {
        no -> BigInt,
        #[sql_name = "ref"]
        reference -> Binary,
        blind_index -> Nullable<Binary>,
        state -> Text,
        country -> Text,
        collection_points -> SmallInt,
        fields -> BigInt,
        policy_version -> Integer,
        data_key -> Binary,
        key_id -> Text,
        version -> BigInt,
        created_at -> BigInt,
        updated_at -> BigInt,
    }
}

diesel::table! {
    origin (contact_no, point, at) {
        contact_no -> BigInt,
        point -> Text,
        at -> BigInt,
        policy_version -> Integer,
        wording_hash -> Binary,
    }
}

diesel::table! {
    choice (contact_no, purpose, partner_id, at) {
        contact_no -> BigInt,
        purpose -> Text,
        partner_id -> Text,
        at -> BigInt,
        given -> Bool,
        origin -> Text,
        policy_version -> Integer,
    }
}

diesel::table! {
    sealed_key (id) {
        id -> Text,
        usage -> Text,
        created_at -> BigInt,
        retired_at -> Nullable<BigInt>,
        sealed -> Binary,
    }
}

diesel::table! {
    recall (id) {
        id -> Text,
        partner_id -> Text,
        contact_no -> BigInt,
        purpose -> Text,
        cause -> Text,
        opened -> BigInt,
        opened_at -> BigInt,
        due_at -> BigInt,
        state -> Text,
        ground -> Nullable<Text>,
        last -> BigInt,
        overdue -> Nullable<BigInt>,
    }
}

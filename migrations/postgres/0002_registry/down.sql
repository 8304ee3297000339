DROP TABLE policy_text;
DROP TABLE policy_purpose;
DROP TABLE policy;
DROP TABLE partner_grant;
DROP TABLE certificate;
DROP TABLE partner;

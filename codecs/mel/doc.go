// Package mel makes Whisper's log-mel features of sound, equal to those of transformers'
// WhisperFeatureExtractor (numpy): the front of Whisper, Qwen2-Audio, Qwen2.5-Omni and
// Qwen3-Omni. Pure arithmetic.
package mel

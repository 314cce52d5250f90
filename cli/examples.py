"""Examples of each command, for its `--help`."""

EXAMPLES = {
    "": """
        stembridge remix song.mp3 --vocals -80
        stembridge karaoke song.mp3
        stembridge separate song.mp3
        """,
    "remix": """
        stembridge remix song.mp3 --vocals -80
        stembridge remix song.mp3 --preset karaoke -o karaoke.wav
        stembridge remix song.flac --drums 3 --bass -6 --loudness match
        stembridge remix song.flac --automation ride.csv
        stembridge remix 'albums/**/*.flac' -o out/ --preset drumless --jobs 2
        """,
    "separate": """
        stembridge separate song.mp3
        stembridge separate song.flac --stems vocals,no_vocals -o stems/
        stembridge separate albums/ -o out/ --format flac --jobs 2
        """,
    "live": """
        stembridge live
        stembridge live song.mp3 --vocals -80
        stembridge live song.mp3 -o take.wav --no-ui
        stembridge live --devices
        """,
    "inspect": """
        stembridge inspect song.mp3
        stembridge inspect song.mp3 -o song.png --dark
        """,
    "models": """
        stembridge models
        stembridge models show studio
        """,
    "models list": """
        stembridge models list
        stembridge models list --json
        """,
    "models show": """
        stembridge models show studio
        """,
    "models import": """
        stembridge models import htdemucs.onnx
        stembridge models import vocals.onnx drums.onnx --stems vocals,drums --as pair
        """,
    "models remove": """
        stembridge models remove htdemucs
        """,
    "train": """
        stembridge train --data songs/ --minutes 60
        stembridge train --data songs/ --minutes 10 --init studio -o mine.onnx
        """,
    "evaluate": """
        stembridge evaluate --data songs/
        stembridge evaluate --data songs/ --model mine.onnx --all --no-bss-eval --json
        """,
    "docs": """
        stembridge docs
        stembridge docs automation
        """,
    "presets": """
        stembridge presets
        stembridge presets show karaoke
        """,
    "presets list": """
        stembridge presets list
        stembridge presets list --json
        """,
    "presets show": """
        stembridge presets show karaoke
        """,
    "presets save": """
        stembridge presets save duet --vocals -6 --drums 3
        stembridge presets save quiet-duet --from duet --gain vocals=-12
        """,
    "presets delete": """
        stembridge presets delete duet
        """,
    "vst3": """
        stembridge vst3 install
        stembridge vst3 list
        """,
    "vst3 install": """
        stembridge vst3 install
        stembridge vst3 install --model studio
        stembridge vst3 install my_module:MyEffect --name 'My effect'
        """,
    "vst3 list": """
        stembridge vst3 list
        stembridge vst3 list --json
        """,
    "vst3 remove": """
        stembridge vst3 remove StemBridge
        """,
    "vst3 check": """
        stembridge vst3 check
        stembridge vst3 check 'My effect'
        stembridge vst3 check plugins/StemBridge.vst3
        """,
    "midi": """
        stembridge midi ports
        stembridge midi learn -o mine.json
        """,
    "midi ports": """
        stembridge midi ports
        stembridge midi ports --json
        """,
    "midi maps": """
        stembridge midi maps
        stembridge midi maps --json
        """,
    "midi monitor": """
        stembridge midi monitor
        stembridge midi monitor nanoKONTROL2 --map nanokontrol2
        """,
    "midi learn": """
        stembridge midi learn -o mine.json
        stembridge midi learn -o mine.json --stems vocals,drums
        """,
}

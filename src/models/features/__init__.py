# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.

import assert from "node:assert/strict";
import { checkFolder } from "../../io/supervisor/definition.ts";
import { Fault } from "../../lib/base/fault.ts";

Deno.test({
  name: "checkFolder: refuses what root could not enter without capabilities, and names where to go",
  ignore: Deno.uid() !== 0,
  async fn() {
    const home = await Deno.makeTempDir();
    try {
      await Deno.mkdir(`${home}/fz`);
      await Deno.chmod(home, 0o700);
      await checkFolder(`${home}/fz`);
      await Deno.chown(home, 1234, 1234);
      await assert.rejects(checkFolder(`${home}/fz`), (fault: Fault) => {
        assert.equal(fault.code, "privilege");
        assert.match(fault.message, new RegExp(`only its owner may enter "${home}"$`));
        assert.match(fault.next ?? "", /\/opt\/fz/);
        return true;
      });
      await Deno.chmod(home, 0o711);
      await checkFolder(`${home}/fz`);
    } finally {
      await Deno.remove(home, { recursive: true });
    }
  },
});

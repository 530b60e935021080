defmodule Blanket.Table.CrashTest do
  use ExUnit.Case, async: true

  alias Blanket.{Crash, Files}

  @tag timeout: :infinity
  test "after SIGKILL what was acknowledged is there, and nothing half-done" do
    folder = Path.dirname(Files.path())
    found = Crash.run(folder, 10, ExUnit.configuration()[:seed])
    assert found.wrong == []
    assert found.acknowledged > 0
  end
end

defmodule Blanket.Test.Eventually do
  @moduledoc false

  @doc """
  Waits for what sends no message, until `condition` answers something true.
  """
  def eventually(condition) do
    unless condition.() do
      Process.sleep(1)
      eventually(condition)
    end
  end
end
